// Keeps the status page true without a reload; what cannot be reached is said, not hidden.
"use strict";
const every = 2000;
async function renew() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.querySelector("#connection").textContent = "";
  } catch {
    document.querySelector("#connection").textContent = "Bavn does not answer; trying again.";
  }
  setTimeout(renew, every);
}
setTimeout(renew, every);
