"""Pack the built Grafana app for release: `python tools/pack_grafana_app.py` writes grafana-panel/build/<id>-<version>.zip.

The same build gives the same bytes: names are sorted and every entry carries the day that the build names.
"""

import json
import zipfile
from pathlib import Path

PANEL = Path(__file__).parents[1] / "grafana-panel"


def pack(built: Path = PANEL / "dist", folder: Path = PANEL / "build") -> Path:
    """The zip of a built app: one folder, named by the app's id. Raises FileNotFoundError where nothing is built."""
    app = json.loads((built / "plugin.json").read_text(encoding="utf-8"))
    year, month, day = map(int, app["info"]["updated"].split("-"))
    folder.mkdir(exist_ok=True)
    target = folder / f"{app['id']}-{app['info']['version']}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(path for path in built.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{app['id']}/{file.relative_to(built).as_posix()}", (max(1980, year), month, day, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return target


if __name__ == "__main__":
    print(pack())
