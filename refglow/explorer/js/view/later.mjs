// Work that can wait: one piece at a time, so that the page answers in between.

const waiting = [];

function next() {
  waiting[0]();
  waiting.shift();
  if (waiting.length) setTimeout(next);
}

export function later(work) {
  waiting.push(work);
  if (waiting.length === 1) setTimeout(next);
}

// Calls work when nothing has asked for it again for so many milliseconds.
export function whenQuiet(work, milliseconds) {
  let timer = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}
