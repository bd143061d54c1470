// Keeps the page fresh: fetches the same address every few seconds and exchanges what changed.
// The page works without this file. Refreshing pauses on request, in a hidden tab, while text is selected, while something is
// chosen in a form, and on a page that answers a form.
"use strict";

(() => {
  const REFRESH_MS = 5000;
  const PAUSED = "dccp-console-paused";
  const button = document.getElementById("refresh");
  const status = document.getElementById("refresh-status");
  if (!button || !status) return;

  const paused = () => sessionStorage.getItem(PAUSED) === "yes";
  const busy = () => document.hidden || String(document.getSelection()) !== "" ||
    (document.activeElement && document.activeElement.matches("input, select")) ||
    document.querySelector("[data-still], main input:checked");

  const show = (words, late) => {
    status.textContent = words;
    status.dataset.late = late ? "yes" : "no";
    button.textContent = paused() ? "Resume" : "Pause";
    button.setAttribute("aria-pressed", String(paused()));
  };

  const exchange = (fresh, id) => {
    const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
    if (!old || !next || old.innerHTML === next.innerHTML) return;
    const focus = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
    const open = [...old.querySelectorAll("details")].map((details) => details.open);
    old.replaceChildren(...next.childNodes);
    old.querySelectorAll("details").forEach((details, at) => { details.open = open[at] ?? false; });
    if (focus) [...old.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus)?.focus();
  };

  const refresh = async () => {
    if (paused() || busy()) return;
    try {
      // Not location.href: it may carry a password, which fetch refuses.
      const address = location.origin + location.pathname + location.search;
      const answer = await fetch(address, { credentials: "same-origin", cache: "no-store" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (paused() || busy()) return; // somebody has begun to choose meanwhile
      exchange(fresh, "readiness");
      exchange(fresh, "main");
      show("Live", false);
    } catch {
      show("The gateway does not answer", true);
    }
  };

  button.addEventListener("click", () => {
    sessionStorage.setItem(PAUSED, paused() ? "no" : "yes");
    show(paused() ? "Paused" : "Live", false);
    refresh();
  });
  document.getElementById("refresh-control").hidden = false;
  show(paused() ? "Paused" : "Live", false);
  setInterval(refresh, REFRESH_MS);
})();
