// Keeps the page current without a reload, so that the place one has scrolled to stays. Without it the page reloads itself.
"use strict";

const PERIOD = 5000;

async function refresh() {
  // Somebody who is reading with the keyboard or selecting text is not interrupted.
  const busy = document.hidden || document.querySelector("main :focus") || !getSelection().isCollapsed;
  if (!busy) {
    try {
      const answer = await fetch(".", { headers: { accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of ["header", "main"]) {
        document.querySelector(part).replaceWith(document.adoptNode(fresh.querySelector(part)));
      }
      document.body.classList.remove("lost");
    } catch {
      document.body.classList.add("lost");
    }
  }
  setTimeout(refresh, PERIOD);
}

setTimeout(refresh, PERIOD);
