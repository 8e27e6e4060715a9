// One job at a time, and of those that wait only the newest: a slider that is dragged faster than
// the service answers leaves no queue behind, and yet every answer is seen.

export class Latest {
  #running = false;
  #next = null;

  /** Whether a newer job waits for the running one. */
  get pending() { return this.#next !== null; }

  /** Calls job() now, or after the running one unless a newer comes. */
  async ask(job) {
    this.#next = job;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#next) {
        const now = this.#next;
        this.#next = null;
        try {
          await now();
        } catch (error) {
          if (!this.#next) throw error; // else the newer one will tell whether it still fails
        }
      }
    } finally {
      this.#running = false;
    }
  }
}
