// SPDX-License-Identifier: Apache-2.0
// Fetches the page again and again, and puts its live parts in place of the old ones.

const EVERY_MS = 2000;
const state = document.getElementById("state");
const pause = document.getElementById("pause");
let paused = false;

function say(text, lost) {
  // Screen readers say each change: only changes are made.
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("lost", lost);
}

async function refresh() {
  const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(answer.status);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (now && now.innerHTML !== part.innerHTML) part.replaceChildren(...now.childNodes);
  }
}

async function go() {
  if (!paused && !document.hidden) {
    try {
      await refresh();
      if (!paused) say("live", false);
    } catch {
      say("the gate does not answer; these figures are old", true);
    }
  }
  setTimeout(go, EVERY_MS);
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  say(paused ? "paused" : "live", false);
});
pause.hidden = false;
go();
