"""The page in a real browser: nothing to complain of, nothing lost, nothing beyond a telephone's edge."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mer_nas.report.files import Written
from mer_nas.report.page import watching_script

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser on this machine: none of {', '.join(NAMES)} is found"
)

FRAMES = """\
<!DOCTYPE html><title>frames</title>
<iframe style="width: 390px; height: 900px; border: 0" srcdoc="{page}"></iframe>
<iframe style="width: 1280px; height: 900px; border: 0" srcdoc="{page}"></iframe>
<ol></ol>
<script>
console.error("a complaint that must be heard");
addEventListener("load", () => {{
  for (const frame of document.querySelectorAll("iframe")) {{
    const root = frame.contentDocument.documentElement;
    const entry = document.createElement("li");
    entry.textContent = `shown ${{root.clientWidth}} needed ${{root.scrollWidth}}`;
    document.querySelector("ol").append(entry);
    frame.remove();
  }}
}});
</script>
"""
"""The page at the width of a telephone and of a screen; what is heard and measured of each."""


GROWING = """\
<script>
fetch = async path => new Response(path === "version" ? "2" : grown);
const grown = `{page}`.replace("<h2 id", "<p id='longer' style='height: 777px'></p><h2 id")
  .replace('data-version="1"', 'data-version="2"');
addEventListener("load", async () => {{
  const heading = () => document.getElementById("data");
  scrollTo(0, scrollY + heading().getBoundingClientRect().top - 40);
  for (const each of document.querySelectorAll("details")) each.open = true;
  const [before, top] = [scrollY, heading().getBoundingClientRect().top];
  document.dispatchEvent(new Event("visibilitychange"));
  while (!document.querySelector("#longer")) await new Promise(done => setTimeout(done, 20));
  await new Promise(done => setTimeout(done, 20));
  const open = [...document.querySelectorAll("details")].every(each => each.open);
  const moved = heading().getBoundingClientRect().top - top;
  document.title = `scrolled ${{scrollY - before}}, moved ${{moved}}, unfolded ${{open}}`;
}});
</script>
"""
"""Gives a page that is watched a newer one, longer above what is read, and says what came of it."""


def opened(page: Path, profile: Path, *words: str) -> tuple[str, list[str]]:
    """Return what a browser makes of a page, and what it complains of."""
    assert BROWSER is not None
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    kept = ["--enable-logging=stderr", f"--user-data-dir={profile}"]
    done = subprocess.run(
        [BROWSER, *fixed, *kept, *(words or ("--dump-dom",)), page.as_uri()],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def test_a_browser_opens_the_page_without_a_complaint(
    whole_two_sets: Written, tmp_path: Path
) -> None:
    page = whole_two_sets.html.read_text(encoding="utf-8")
    dom, complaints = opened(whole_two_sets.html, tmp_path)
    assert complaints == []
    for tag in ("<data ", "<svg ", "<text ", "<tr", "<h2 ", "<figure"):
        assert dom.count(tag) == page.count(tag) > 0
    values = re.compile(r'<data value="([^"]+)">')
    assert values.findall(dom) == values.findall(page)


def test_nothing_runs_over_the_edge_of_a_telephone_or_a_screen(
    whole_two_sets: Written, tmp_path: Path
) -> None:
    """The frame complains once itself, so that silence elsewhere is known to mean something."""
    frames = tmp_path / "frames.html"
    page = html.escape(whole_two_sets.html.read_text(encoding="utf-8"))
    frames.write_text(FRAMES.format(page=page), encoding="utf-8")
    dom, complaints = opened(frames, tmp_path / "profile")
    assert ["a complaint that must be heard" in line for line in complaints] == [True]
    found = re.findall(r"<li>shown (\d+) needed (\d+)</li>", dom)
    assert len(found) == 2
    for shown, needed in found:
        assert int(needed) <= int(shown)


def test_a_whole_report_takes_less_than_eight_pages_of_paper(
    whole_two_sets: Written, tmp_path: Path
) -> None:
    """Thirty trials, three finalists, two data sets; its YAML is attached, not printed."""
    opened(whole_two_sets.html, tmp_path / "profile", f"--print-to-pdf={tmp_path / 'a.pdf'}")
    pages = re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "a.pdf").read_bytes())
    assert 0 < len(pages) < 8


def test_what_is_read_stays_where_it_is_while_the_page_grows_above_it(
    whole_two_sets: Written, tmp_path: Path
) -> None:
    script = f'<script data-version="1">{watching_script()}</script>'
    page = whole_two_sets.html.read_text(encoding="utf-8").replace("</head>", f"{script}</head>")
    newer = page.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    newer = newer.replace("</script", "<\\/script")
    watched = tmp_path / "watched.html"
    watched.write_text(page.replace("</body>", GROWING.format(page=newer) + "</body>"))
    dom, complaints = opened(
        watched, tmp_path / "profile", "--virtual-time-budget=9000", "--dump-dom"
    )
    assert complaints == []
    (title,) = re.findall("<title>(scrolled .*?)</title>", dom)
    scrolled, rest = title.removeprefix("scrolled ").split(", ", 1)
    assert rest == "moved 0, unfolded true"
    assert float(scrolled) >= 777
