"use strict";
// Asks every few seconds whether there is a newer page, and puts its body in place of this one:
// what was scrolled to, unfolded or read stays where it is.
const EVERY = 5000;
let version = document.currentScript.dataset.version;
let asking = false;

function ago(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min ago`;
}

function tick() {
  for (const time of document.querySelectorAll("time[datetime]"))
    time.textContent = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
}

function say(text) {
  const place = document.getElementById("watching");
  if (place) place.textContent = text;
}

// The last heading above the middle of the window: what is read stands below it, and stays where
// it is however much grows above.
function landmark() {
  const near = each => each.getBoundingClientRect().top < innerHeight / 2;
  return [...document.querySelectorAll("h2[id]")].filter(near).pop();
}

function unfolded(details) {
  return details.querySelector("summary").textContent;
}

async function renew() {
  const answer = await fetch("./", {cache: "no-store"});
  if (!answer.ok) throw new Error(answer.status);
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = new Map([...document.querySelectorAll("details")].map(each => [unfolded(each), each.open]));
  const across = [...document.querySelectorAll(".wide")].map(each => each.scrollLeft);
  const [left, top, heading] = [scrollX, scrollY, landmark()];
  const above = heading?.getBoundingClientRect().top;
  version = found.querySelector("script[data-version]").dataset.version;
  document.title = found.title;
  document.body.replaceWith(document.adoptNode(found.body));
  document.querySelectorAll("details").forEach(each => { each.open = open.get(unfolded(each)) ?? each.open; });
  document.querySelectorAll(".wide").forEach((each, i) => { each.scrollLeft = across[i] ?? 0; });
  scrollTo(left, top);
  const again = heading && document.getElementById(heading.id);
  if (again) scrollBy(0, again.getBoundingClientRect().top - above);
  tick();
}

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch("version", {cache: "no-store"});
    if (!answer.ok) throw new Error(answer.status);
    if (await answer.text() !== version) await renew();
    say("");
  } catch {
    say("mer-nas watch does not answer: it has ended, or the tunnel to it has.");
  } finally {
    asking = false;
  }
}

setInterval(tick, 1000);
setInterval(ask, EVERY);
document.addEventListener("visibilitychange", ask);
document.addEventListener("DOMContentLoaded", tick);
