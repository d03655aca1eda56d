// Puts a button beside every digest and address; without scripts, a click on one still selects all of it.
const digest = /^(0x[0-9a-fA-F]{16,}|b[a-z2-7]{40,})$/;
function copied(code, button) {
  const say = (word) => { button.textContent = word; setTimeout(() => { button.textContent = "copy"; }, 1200); };
  const select = () => {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    say(document.execCommand("copy") ? "copied" : "selected");
  };
  if (navigator.clipboard) {
    navigator.clipboard.writeText(code.textContent).then(() => say("copied"), select);
  } else {
    select();
  }
}
for (const code of document.querySelectorAll("code.text")) {
  if (digest.test(code.textContent)) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", "copy " + code.textContent.slice(0, 12));
    button.addEventListener("click", () => copied(code, button));
    code.after(button);
  }
}
