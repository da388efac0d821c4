// The page works without this script. With it the page renews itself, asks in a
// dialog, and says when the switchboard is gone.
"use strict";

const main = document.getElementById("main");
const link = document.getElementById("link");
const dialog = document.getElementById("dialog");
const parse = html => new DOMParser().parseFromString(html, "text/html");

// morph makes an element like another one. Elements that are in both stay the
// same elements, so that focus, open details and a finger on a button survive.
function morph(from, to) {
  for (const { name } of [...from.attributes])
    if (!to.hasAttribute(name) && !(name === "open" && from.localName === "details")) from.removeAttribute(name);
  for (const { name, value } of to.attributes)
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  const key = node => node.id || node.dataset?.key;
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    let match = at;
    while (match && !(match.nodeName === wanted.nodeName && key(match) === key(wanted))) match = match.nextSibling;
    if (!match) {
      from.insertBefore(wanted, at);
      continue;
    }
    while (at !== match) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    at = at.nextSibling;
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, wanted);
    else if (match.data !== wanted.data) match.data = wanted.data;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function show(html) {
  const fresh = main.cloneNode(false);
  fresh.append(...parse(html).body.childNodes);
  const lost = document.activeElement;
  morph(main, fresh);
  if (lost && lost !== document.body && !lost.isConnected) (document.getElementById("job-title") ?? main).focus();
}

// Events come at least every five seconds. After twelve without any, or when the
// way is cut, the page says so and tries again.
let source, silence;
function cut(why) {
  clearTimeout(silence);
  source?.close();
  if (!link.textContent) link.textContent = why + " What you see is from " + new Date().toLocaleTimeString() + ".";
  document.body.classList.add("cut");
  silence = setTimeout(connect, 2000);
}
function alive() {
  clearTimeout(silence);
  silence = setTimeout(() => cut("The switchboard does not answer."), 12000);
  if (link.textContent) link.textContent = "";
  document.body.classList.remove("cut");
}
function connect() {
  clearTimeout(silence);
  silence = setTimeout(() => cut("The switchboard does not answer."), 12000);
  source = new EventSource("/events");
  source.addEventListener("state", e => { alive(); show(e.data); });
  source.addEventListener("beat", alive);
  source.addEventListener("end", () => cut("The switchboard was stopped."));
  source.onerror = async () => {
    const gone = source;
    cut("The switchboard does not answer.");
    const answer = await fetch("/events", { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401 && gone === source) location.reload();
  };
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && source?.readyState !== EventSource.OPEN) connect();
});
connect();

// A question comes as a page of its own; here its content goes into the dialog.
function ask(html, url) {
  const answer = parse(html).querySelector("[data-answer]");
  if (!answer) {
    location.assign(url);
    return;
  }
  dialog.replaceChildren(answer);
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("h1").focus();
}
document.addEventListener("submit", async event => {
  const form = event.target;
  const post = form.hasAttribute("data-act");
  if (!post && !form.hasAttribute("data-ask")) return;
  event.preventDefault();
  try {
    const body = post ? new URLSearchParams(new FormData(form)) : undefined;
    const answer = await fetch(form.action, { method: post ? "POST" : "GET", body });
    const html = await answer.text();
    if (!post || !answer.ok) {
      ask(html, answer.url);
      return;
    }
    dialog.close();
    const page = parse(html).getElementById("main");
    if (page) show(page.innerHTML);
    else location.assign(answer.url);
    (document.getElementById("job-title") ?? main).focus();
  } catch {
    dialog.close();
    cut("The switchboard does not answer.");
  }
});
dialog.addEventListener("click", event => {
  if (event.target === dialog || event.target.closest("[data-close]")) {
    event.preventDefault();
    dialog.close();
  }
});
