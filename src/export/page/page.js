// Keeps the page current without a reload: what has changed is changed in place, so that keyboard focus, a selection and the
// place one has scrolled to stay. Without this script the page reloads itself.
"use strict";

const PERIOD = 5000;

// Makes `old` like `fresh`. Elements with an id are known by it; all others by their place.
function update(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    // Whether something is unfolded is the reader's choice.
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  let next = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? old.querySelector(`:scope > #${CSS.escape(child.id)}`) : null;
    while (same && next !== same) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
    if (!next || (next.id && next.id !== child.id)) {
      old.insertBefore(child, next);
    } else {
      const current = next;
      next = next.nextSibling;
      update(current, child);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

let timer;

async function refresh() {
  clearTimeout(timer);
  if (!document.hidden) {
    try {
      const answer = await fetch("./", { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of ["header", "main", "footer"]) {
        update(document.querySelector(part), fresh.querySelector(part));
      }
      document.title = fresh.title;
      update(document.querySelector("link[rel=icon]"), fresh.querySelector("link[rel=icon]"));
    } catch {
      document.getElementById("lost").hidden = false;
    }
  }
  timer = setTimeout(refresh, PERIOD);
}

timer = setTimeout(refresh, PERIOD);
document.addEventListener("visibilitychange", refresh);
