// What a script adds to pages that work without one: copying, printing, the visitor's own time, and looking whether a
// new app password has logged in. Sends nothing anywhere but to this portal, and keeps nothing.

"use strict";

for (const element of document.querySelectorAll("[data-script]")) {
  element.hidden = false;
}

// The error summary has the focus, also where a browser ignores `autofocus` on it.
document.getElementById("errors")?.focus();

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const said = document.getElementById(button.getAttribute("aria-describedby"));
    const text = source.dataset.text ?? source.textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = button.dataset.copied;
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said.textContent = button.dataset.selected;
    }
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}

// One click, one request: a code that is sent twice would read as used.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "yes";
  });
}
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
  }
});

// The date of the cut-over, in the visitor's own zone where that is another one.
for (const element of document.querySelectorAll("[data-own-zone]")) {
  const time = element.querySelector("time[data-offset]");
  const moment = new Date(time.dateTime);
  if (-moment.getTimezoneOffset() !== Number(time.dataset.offset)) {
    const spoken = document.documentElement.lang;
    const locales = navigator.languages.filter((each) => each.split("-")[0] === spoken);
    const own = moment.toLocaleString([...locales, spoken], { dateStyle: "long", timeStyle: "short" });
    const words = document.createElement("p");
    const said = own.replace(/^1 /, `${document.documentElement.dataset.firstDay} `);
    words.textContent = element.dataset.ownZone.replace("{moment}", said);
    element.append(words);
  }
}

// Waiting for the first login of an app password. It ends by itself: nobody waits for an hour.
const EVERY_MS = 3000;
const AT_MOST = 200;

for (const element of document.querySelectorAll("[data-waiting]")) {
  let looks = 0;
  const look = async () => {
    looks += 1;
    try {
      const response = await fetch(element.dataset.waiting, { headers: { Accept: "application/json" } });
      if (!response.ok || response.redirected) {
        return;
      }
      const answer = await response.json();
      if (answer.seen) {
        element.classList.add("is-seen");
        element.querySelector("[role=status]").textContent = answer.words;
        return;
      }
    } catch {
      // The network is away for a moment, as it is on phones.
    }
    if (looks < AT_MOST) {
      setTimeout(look, EVERY_MS);
    }
  };
  setTimeout(look, EVERY_MS);
}
