/** Elements from data. Text only ever becomes text: nothing here reads HTML. */

/**
 * An element.
 *
 * @param {string} head Tag and classes, such as `p.quiet.small`.
 * @param {object} properties Properties of the element; `data` and `aria` hold attributes, `on` listeners.
 * @param {...(Node|string|number|null)} children Text becomes text nodes, null is left out.
 */
export function el(head, properties = {}, ...children) {
  const [tag, ...classes] = head.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  const { data = {}, aria = {}, on = {}, css = {}, ...rest } = properties;
  Object.assign(element, rest);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name === "role" ? name : `aria-${name}`, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(css)) element.style.setProperty(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined).map(asNode));
  return element;
}

const asNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

/** Put these children in the place of an element's own. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined).map(asNode));
}

/** The element of that id. */
export const byId = (id) => document.getElementById(id);

/** Hand a text to the browser as a file. */
export function download(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Seconds as people read them. */
export const seconds = (value) => (value >= 10 ? `${value.toFixed(1)} s` : `${value.toFixed(2)} s`);

/** A name of the engine in words: `small_talk` as `small talk`. */
export const words = (name) => String(name).replaceAll("_", " ");
