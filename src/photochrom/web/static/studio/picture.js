// What is made of pictures in the browser itself.

/** A canvas of a picture, as a photo of that size that is turned and cropped, see frame.js. */
export function framed(picture, { turn, box, full }) {
  const scale = picture.width / full.width;
  const [width, height] = turn % 180 ? [full.height, full.width] : [full.width, full.height];
  const part = box ?? { x: 0, y: 0, width, height };
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * part.width));
  canvas.height = Math.max(1, Math.round(scale * part.height));
  const context = canvas.getContext("2d");
  context.translate(scale * (width / 2 - part.x), scale * (height / 2 - part.y));
  context.rotate(turn * Math.PI / 180);
  context.drawImage(picture, -picture.width / 2, -picture.height / 2);
  return canvas;
}

/** A canvas of a picture, `size` pixels at most on its longer side. */
export function shrunk(picture, size, filter = "none") {
  const scale = Math.min(1, size / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * picture.width));
  canvas.height = Math.max(1, Math.round(scale * picture.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.filter = filter;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Black over what is sure, nothing over what is not; from a picture whose gray is the entropy. */
export function veil(map) {
  const canvas = shrunk(map, Math.max(map.width, map.height));
  const context = canvas.getContext("2d");
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const sorted = image.data.filter((_, index) => index % 4 === 0).sort();
  const [low, high] = [0.1, 0.9].map((share) => sorted[Math.floor(share * (sorted.length - 1))]);
  for (let i = 0; i < image.data.length; i += 4) {
    const t = Math.min(Math.max((image.data[i] - low) / Math.max(high - low, 8), 0), 1);
    image.data[i] = image.data[i + 1] = image.data[i + 2] = 0;
    image.data[i + 3] = Math.round(255 * 0.78 * (1 - t));
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
