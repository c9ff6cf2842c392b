import { byId } from "./dom";
import type { Store } from "./state";

const KEY = "mien-theme";

/** Light or dark as the system says, until the reader chooses; paper is always light. */
export function makeTheme(store: Store): { toggle(): void } {
  const button = byId("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = remembered();

  const apply = (forced?: string): void => {
    const theme = forced ?? chosen ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${theme === "dark" ? "light" : "dark"} theme`);
    button.setAttribute("aria-pressed", String(theme === "dark"));
    store.tell("theme");
  };
  const toggle = (): void => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // a browser that keeps nothing for files on disk
    }
    apply();
  };
  button.addEventListener("click", toggle);
  dark.addEventListener("change", () => apply());
  addEventListener("beforeprint", () => apply("light"));
  addEventListener("afterprint", () => apply());
  apply();
  return { toggle };
}

function remembered(): string | null {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === "dark" || theme === "light" ? theme : null;
  } catch {
    return null;
  }
}
