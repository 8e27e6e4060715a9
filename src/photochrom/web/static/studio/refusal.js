// What could not be done, as data: nobody has to take its words apart to know what it means.

export class Refusal extends Error {
  /**
   * @param {object} told
   * @param {string} told.problem what is wrong, in whole sentences
   * @param {string} [told.remedy] what can be done about it, if the problem does not say it
   * @param {boolean} [told.retry] whether the same may succeed at another time
   * @param {"away" | "forgotten" | "unusable" | null} [told.kind] the service does not answer; it does
   *   not know the photo (any more), which can be sent again; or what was asked for makes no sense
   * @param {string | null} [told.photo] the name, at the service, of the photo that was asked for
   */
  constructor({ problem, remedy = "", retry = true, kind = null, photo = null }) {
    super(remedy ? `${problem} ${remedy}` : problem);
    Object.assign(this, { problem, remedy, retry, kind, photo });
  }

  get away() { return this.kind === "away"; }
  get forgotten() { return this.kind === "forgotten"; }
  get unusable() { return this.kind === "unusable"; }

  /** Whether the photo of that name was asked for, as far as is known. */
  concerns(photo) { return this.photo === null || this.photo === photo; }
}
