// Data is applied when it comes, the page is painted once a frame: whoever has news registers a
// painter, and all of them run in the next frame. A hidden tab has no frames and paints at once.

const painters = new Set();
let requested = false;

/** Frames of the last second in which something was painted, and tasks that took too long. */
export const figures = { paints: 0, longTasks: 0, longest: 0 };
const painted = [];

export function paint(painter) {
  painters.add(painter);
  if (document.hidden) flush();
  else if (!requested) {
    requested = true;
    requestAnimationFrame(frame);
  }
}

function frame(now) {
  requested = false;
  if (painters.size) painted.push(now);
  flush();
}

function flush() {
  const due = [...painters];
  painters.clear();
  for (const painter of due) painter();
}

/** Return how many frames of the last second were painted. */
export function paintsPerSecond() {
  const since = performance.now() - 1000;
  while (painted.length && painted[0] < since) painted.shift();
  figures.paints = painted.length;
  return painted.length;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) flush();
});

try {
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      figures.longTasks += 1;
      figures.longest = Math.max(figures.longest, entry.duration);
    }
  }).observe({ type: "longtask" });
} catch {
  // Not every browser tells.
}
