"use strict";
// Asks for the page again every two seconds, and shows what has changed; what was opened stays open.
(() => {
  let tag = "";
  const opened = (box) => [...box.querySelectorAll("details")].map((one) => one.open);
  const show = (text) => {
    const old = document.getElementById("live");
    const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
    if (!fresh) return;
    const open = opened(old);
    fresh.querySelectorAll("details").forEach((one, i) => { one.open = Boolean(open[i]); });
    old.replaceWith(document.adoptNode(fresh));
    const charts = document.createElement("script");
    charts.textContent = document.getElementById("charts").textContent;
    document.body.append(charts);
    charts.remove();
  };
  const look = async () => {
    try {
      const busy = document.activeElement && document.activeElement.closest("#live figure");
      if (!document.hidden && !busy) {
        const headers = tag ? { "If-None-Match": tag } : {};
        const answer = await fetch(location.pathname, { headers, cache: "no-store" });
        if (answer.status === 200) {
          const text = await answer.text();
          if (tag) show(text);
          tag = answer.headers.get("ETag") || "";
        }
      }
    } catch {
      const status = document.querySelector("[role=status]");
      if (status) status.textContent = "The server has ended; this is what was seen last.";
    }
    setTimeout(look, 2000);
  };
  look();
})();
