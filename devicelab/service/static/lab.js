// The live page: replaces what the server drew again, and sends an operator's actions. No library.
"use strict";

const live = document.getElementById("live");
let filter = "";

function applyFilter() {
  for (const tile of document.querySelectorAll(".tile")) {
    tile.hidden = filter !== "" && tile.dataset.mood !== filter;
  }
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
  }
}

function replace(fragments) {
  for (const [id, html] of Object.entries(fragments)) {
    const old = document.getElementById(id);
    const template = document.createElement("template");
    template.innerHTML = html; // drawn and escaped by the server
    const fresh = template.content.firstElementChild;
    if (!old) {
      if (id.startsWith("phone-")) document.getElementById("wall")?.append(fresh); // a newcomer
      continue;
    }
    const focused = document.activeElement === old;
    old.replaceWith(fresh);
    if (focused) fresh.focus();
  }
  applyFilter();
}

function listen(address) {
  const source = new EventSource(address);
  const say = (text, mood) => { live.textContent = text; live.dataset.mood = mood; };
  source.addEventListener("open", () => say("live", "ready"));
  source.addEventListener("error", () => say("reconnecting", "resting"));
  source.addEventListener("fragments", (event) => replace(JSON.parse(event.data)));
}

async function act(form, action) {
  const outcome = document.getElementById("outcome");
  const device = encodeURIComponent(form.dataset.device);
  const answer = await fetch(`/api/v1/devices/${device}/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Fer-Lab": "page" },
    body: JSON.stringify({ why: form.elements.why.value }),
  });
  const body = await answer.json().catch(() => ({}));
  outcome.textContent = answer.ok ? `${action}: done` : `${action}: ${body.message || answer.status}`;
  outcome.dataset.mood = answer.ok ? "ready" : "sick";
  if (answer.ok) form.elements.why.value = "";
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-filter]");
  if (!button) return;
  filter = filter === button.dataset.filter ? "" : button.dataset.filter;
  applyFilter();
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.action");
  if (!form) return;
  event.preventDefault();
  act(form, event.submitter.value).catch((error) => {
    document.getElementById("outcome").textContent = String(error);
  });
});

if (document.body.dataset.stream) listen(document.body.dataset.stream);
