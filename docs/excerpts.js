"use strict";
// What search shows of the pages that it found.
if (location.pathname.endsWith("/search.html")) {
  // It fetches them for that, which a browser refuses to a page that is a file: there their text
  // comes by a script, which it does not refuse.
  if (location.protocol === "file:") {
    const script = document.createElement("script");
    script.src = new URL("texts.js", document.currentScript.src);
    const loaded = new Promise((resolve) => { script.onload = resolve; });
    document.head.append(script);
    const here = new URL(".", location).pathname;
    window.fetch = async (address) => {
      await loaded;
      const name = new URL(address, location).pathname.slice(here.length);
      return new Response(`<div role="main">${window.pageTexts[name] || ""}</div>`);
    };
  }
  // It looks for stems ("memori"), which do not stand in a text: look for the words as they were
  // written, and rather for all of them together.
  document.addEventListener("DOMContentLoaded", () => {
    const written = (new URLSearchParams(location.search).get("q") || "").trim();
    const words = [...written.split(/\s+/).filter((word) => word.length > 2), written];
    const summary = Search.makeSearchSummary;
    Search.makeSearchSummary = (text, _, anchor) =>
      summary.call(Search, text.replace(/\s+/g, " "), words, anchor);
  });
}
