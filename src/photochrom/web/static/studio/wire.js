// The way to the service: here, HTTP. A page without a server has another module in this place.

/** What this service can do and another that the page may have cannot: the page hides what is not here. */
export const can = Object.freeze({
  address: true, // the address that other machines open is told
  frames: true, // photos turned and cropped
  shapes: true, // hints that are strokes or regions
});

/** What the page says: what can be opened, where a photo goes, and from where all is removed. */
export const READS = "JPEG, PNG, TIFF and more, including large scans.";
export const WHERE = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)
  ? "Nothing leaves this computer." : "Your photo goes only to the computer that runs photochrom.";
export const KEEPERS = "this page, this browser and the running program";

/** As `fetch`. */
export const ask = (address, options) => fetch(address, options);

/**
 * Sends a photo's file; resolves to the answer. `progress` is told the share that is sent, 0..1. With
 * XMLHttpRequest, for fetch does not tell how much was sent.
 */
export function send(address, file, progress, signal) {
  return new Promise((resolve, reject) => {
    const aborted = () => new DOMException("put away", "AbortError");
    if (signal.aborted) return reject(aborted());
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => event.total && progress(event.loaded / event.total);
    let whole = false;
    request.upload.onload = () => {
      whole = true;
      progress(1);
    };
    // Once all is there the service has a photo, or soon will: only its answer tells which to forget.
    signal.addEventListener("abort", () => whole || request.abort());
    request.onabort = () => reject(aborted());
    request.onerror = () => reject(new TypeError("the connection was lost"));
    request.onload = () => {
      const later = request.getResponseHeader("Retry-After");
      const headers = later === null ? {} : { "Retry-After": later };
      resolve(new Response(request.responseText, { status: request.status, headers }));
    };
    return request.send(file);
  });
}
