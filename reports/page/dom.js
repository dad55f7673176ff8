// What every script of a page begins with. Whatever a page holds is put in as text, never as markup.

/** Returns a new element of that class; strings among the children become text. */
function made(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

const announced = made("p", "unseen");
announced.setAttribute("role", "status");
document.body.append(announced);

/** Tells something to those who do not see it happen. */
function say(words) {
  announced.textContent = words;
}

function pressable(words, className, pressed) {
  const button = made("button", className, words);
  button.type = "button";
  button.addEventListener("click", pressed);
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied: ${text}`);
    return true;
  } catch {
    say("This browser does not let a page copy; select the text instead.");
    return false;
  }
}

function copyButton(words, text) {
  const button = pressable(words, "copy", async () => {
    button.textContent = (await copy(text)) ? "Copied" : "Select it by hand";
    setTimeout(() => { button.textContent = words; }, 1500);
  });
  return button;
}
