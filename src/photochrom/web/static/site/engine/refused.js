// What the engine refuses, with the numbers and words of the studio's service.

export class Refused extends Error {
  /** @param {number} status of HTTP; @param {string} problem and @param {string} remedy, which may be empty */
  constructor(status, problem, remedy = "") {
    super(remedy ? `${problem}; ${remedy}` : problem);
    Object.assign(this, { status, problem, remedy });
  }
}
