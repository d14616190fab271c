// The view stays at the end while text comes, unless somebody has scrolled up to read.

const NEAR = 60;

export class Follower {
  constructor(box, button) {
    this.box = box;
    this.button = button;
    this.following = true;
    this.top = 0;
    box.addEventListener("scroll", () => this.#moved(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
  }

  /** After the text has grown. */
  grown() {
    if (this.following) this.box.scrollTop = this.box.scrollHeight;
    this.#showButton();
  }

  toEnd() {
    this.following = true;
    this.grown();
  }

  #moved() {
    const { scrollTop } = this.box;
    // Only upward moves are somebody's; the others may be ours, on their way.
    if (scrollTop < this.top - 2) this.following = false;
    if (this.#distance() < NEAR) this.following = true;
    this.top = scrollTop;
    this.#showButton();
  }

  #distance() {
    return this.box.scrollHeight - this.box.clientHeight - this.box.scrollTop;
  }

  #showButton() {
    this.button.hidden = this.following || this.#distance() < NEAR;
  }
}
