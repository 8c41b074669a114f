// The API tells durations; what is counted down here are times, which go on while the page sleeps.
const now = () => Date.now() / 1000;

export const timeIn = (seconds) => now() + seconds;

/** Rounded up: who asks a moment too early is refused. */
export const secondsTill = (time) => Math.max(0, Math.ceil(time - now()));

/** Calls at once and each second till none is left; returns the end of it. */
export function countTo(time, tick) {
  const step = () => {
    const left = secondsTill(time);
    if (!left) clearInterval(timer);
    tick(left);
  };
  const timer = setInterval(step, 1000);
  step();
  return () => clearInterval(timer);
}
