// What every page lets people choose: the language, and dark or light.

import { $, text } from "./elements.js";
import { currentLanguage, say, switchLanguage } from "./words.js";

export function dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Put the texts of the page into its elements. */
export function showTexts() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-say]")) text(node, say(node.dataset.say));
  for (const node of document.querySelectorAll("[data-say-label]")) node.setAttribute("aria-label", say(node.dataset.sayLabel));
  $("language").setAttribute("aria-label", say("language_name"));
  $("theme").setAttribute("aria-label", say(dark() ? "theme_light" : "theme_dark"));
}

/** `changed` is called after every choice, and should call `showTexts`. */
export function letChoose(changed) {
  if (localStorage.getItem("gridtone.theme")) document.documentElement.dataset.theme = localStorage.getItem("gridtone.theme");
  $("language").addEventListener("click", () => {
    switchLanguage();
    changed();
  });
  $("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("gridtone.theme", document.documentElement.dataset.theme);
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}
