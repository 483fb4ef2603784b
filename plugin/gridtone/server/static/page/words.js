// What the page itself says.

const WORDS = {
  en: {
    subtitle: "the state of the grid, as music",
    skip: "Skip to the state of the grid",
    state: "State of the grid",
    since: "since {time} ({ago})",
    rule: "Rule",
    clears: "Ends when {rule}",
    also: "Also true, with lower priority: {states}",
    signals: "Signals",
    signal: "Signal",
    value: "Value",
    limit: "Limit",
    margin: "Margin",
    gauge: "Against the limit",
    age: "Age",
    stale: "stale",
    no_value: "no reading",
    beyond: "{margin} beyond",
    music: "Music",
    playing: "Now playing",
    next: "Up next",
    nothing_next: "chosen when the time comes",
    silence: "Silence",
    crossfading: "crossfading",
    begins_in: "begins in {seconds} s",
    over: "the track has ended; the next one is coming",
    enable: "Enable sound",
    disable: "Pause",
    refused: "The browser refused to play sound. Press Enable sound again, or allow sound for this page.",
    no_audio: "This track cannot be played here: the browser decodes neither its Opus nor its FLAC audio, or the store has lost it.",
    no_network: "The audio could not be fetched; trying again.",
    mute: "Mute",
    unmute: "Unmute",
    volume: "Volume",
    ducked: "turned down by {decibels} dB",
    progress: "Progress of the track",
    made_by: "Made by",
    key: "Key",
    tempo: "Tempo",
    licence: "Licence",
    history: "Last 24 hours",
    history_hint: "Arrow keys move through the states.",
    as_table: "As a table",
    from: "From",
    to: "To",
    lasted: "Lasted",
    reason: "Reason",
    now: "now",
    unseen: "not recorded",
    stock: "Stock",
    stock_hint: "fresh tracks of those wanted",
    silent_state: "silent",
    sampler: "Sampler",
    sampler_idle: "idle",
    sampler_stopped: "stopped",
    failures: "Tracks that did not pass",
    sources: "Telemetry sources",
    source: "Source",
    connection: "Connection",
    severity: "Severity",
    connected: "connected",
    not_connected: "not connected",
    received: "Received",
    dropped: "Dropped",
    rejected: "Refused",
    samples: "Latest refused messages",
    problems: "{count} to look at",
    rules_problem: "The newest save of the rules is not in use; the one before it still plays:",
    connection_connecting: "connecting",
    connection_connected: "live",
    connection_lost: "lost",
    connection_refused: "refused",
    lost: "No word from the service for 5 seconds: the music is silent until it is back. What you see below may be old.",
    sign_in: "Sign in",
    token: "Access token",
    token_hint: "Whoever runs gridtone has it. This browser keeps a sign-in, not the token.",
    sign_out: "Sign out",
    language: "中文",
    language_name: "切换到中文",
    theme_dark: "Switch to dark",
    theme_light: "Switch to light",
    severity_normal: "normal",
    severity_restorative: "restorative",
    severity_alert: "alert",
    severity_emergency: "emergency",
    severity_in_extremis: "in extremis",
    severity_unknown: "unknown",
    announce: "{title}. {reason}",
    notice: "Music never replaces an alarm.",
    to_rules: "Rules",
  },
  zh: {
    subtitle: "听见电网的状态",
    skip: "跳到电网状态",
    state: "电网状态",
    since: "自 {time} 起（{ago}）",
    rule: "规则",
    clears: "解除条件：{rule}",
    also: "同时成立但优先级较低：{states}",
    signals: "信号",
    signal: "信号",
    value: "数值",
    limit: "限值",
    margin: "裕度",
    gauge: "与限值比较",
    age: "数据龄期",
    stale: "过期",
    no_value: "无读数",
    beyond: "越限 {margin}",
    music: "音乐",
    playing: "正在播放",
    next: "接下来",
    nothing_next: "届时选定",
    silence: "静音",
    crossfading: "交叉淡变中",
    begins_in: "{seconds} 秒后开始",
    over: "曲目已结束，下一首即将开始",
    enable: "开启声音",
    disable: "暂停",
    refused: "浏览器拒绝播放声音。请再按一次“开启声音”，或允许本页播放声音。",
    no_audio: "此曲目无法播放：浏览器不能解码其 Opus 或 FLAC 音频，或库中已缺失。",
    no_network: "无法获取音频，正在重试。",
    mute: "静音",
    unmute: "取消静音",
    volume: "音量",
    ducked: "已降低 {decibels} dB",
    progress: "曲目进度",
    made_by: "引擎",
    key: "调性",
    tempo: "速度",
    licence: "许可",
    history: "最近 24 小时",
    history_hint: "用方向键浏览各状态。",
    as_table: "以表格显示",
    from: "从",
    to: "至",
    lasted: "持续",
    reason: "原因",
    now: "现在",
    unseen: "无记录",
    stock: "库存",
    stock_hint: "新鲜曲目 / 目标数量",
    silent_state: "静音状态",
    sampler: "采样器",
    sampler_idle: "空闲",
    sampler_stopped: "已停止",
    failures: "未通过检查的曲目",
    sources: "遥测来源",
    source: "来源",
    connection: "连接",
    severity: "严重程度",
    connected: "已连接",
    not_connected: "未连接",
    received: "已接收",
    dropped: "已丢弃",
    rejected: "已拒绝",
    samples: "最近被拒绝的消息",
    problems: "{count} 项需关注",
    rules_problem: "最新保存的规则未生效，仍在使用之前的规则：",
    connection_connecting: "连接中",
    connection_connected: "实时",
    connection_lost: "已中断",
    connection_refused: "被拒绝",
    lost: "已有 5 秒未收到服务的消息：恢复之前保持静音。下方内容可能已过时。",
    sign_in: "登录",
    token: "访问令牌",
    token_hint: "请向 gridtone 的管理者索取。浏览器只保存登录状态，不保存令牌。",
    sign_out: "退出登录",
    language: "English",
    language_name: "Switch to English",
    theme_dark: "切换到深色",
    theme_light: "切换到浅色",
    severity_normal: "正常",
    severity_restorative: "恢复",
    severity_alert: "警戒",
    severity_emergency: "紧急",
    severity_in_extremis: "崩溃",
    severity_unknown: "未知",
    announce: "{title}。{reason}",
    notice: "音乐绝不替代告警。",
    to_rules: "规则",
  },
};

let language = localStorage.getItem("gridtone.language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

export function currentLanguage() {
  return language;
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("gridtone.language", language);
}

/** More texts, of another page than the player. */
export function learn(words) {
  for (const [tag, texts] of Object.entries(words)) Object.assign(WORDS[tag], texts);
}

/** A text of the page. */
export function say(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A text of the service, which comes in several languages. */
export function pick(words) {
  return words?.[language] ?? words?.en ?? "";
}

export function clockTime(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", hour12: false });
}

/** `40 s`, `12 min`, `3 h 05 min`. */
export function duration(seconds) {
  const [s, min, h] = language === "zh" ? [" 秒", " 分", " 小时 "] : [" s", " min", " h "];
  if (seconds < 99.5) return `${Math.max(0, Math.round(seconds))}${s}`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes}${min}` : `${Math.floor(minutes / 60)}${h}${String(minutes % 60).padStart(2, "0")}${min}`;
}

export function amount(value, unit = "") {
  const size = Math.abs(value);
  const digits = size >= 1000 ? 0 : size >= 60 || unit === "%" ? 1 : size >= 1 ? 2 : 3;
  return `${value.toLocaleString(language, { maximumFractionDigits: digits })}${unit ? ` ${unit}` : ""}`;
}
