// The demo shop's page: the language switch. The chat bubble comes from /widget.js.
const button = document.getElementById("language");
const show = (language) => {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-zh]")) node.textContent = node.dataset[language];
  button.textContent = language === "zh" ? "English" : "中文";
  try { localStorage.setItem("site-language", language); } catch { /* private mode: the choice lasts for the page */ }
};
let chosen = null;
try { chosen = localStorage.getItem("site-language"); } catch { /* private mode */ }
show(chosen ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));
button.addEventListener("click", () => show(document.documentElement.lang === "zh" ? "en" : "zh"));
