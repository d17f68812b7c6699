// Samples a generator that `sparring export RUN --to onnx --out generator.onnx` wrote, on the visitor's own machine.

const COUNT = 16;
const state = document.getElementById("state");
const ort = globalThis.ort;

// Two uniform numbers give two normal ones (Box & Muller 1958); the browser has no normal numbers of its own.
function normal(count) {
  return Float32Array.from({ length: count }, () =>
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));
}

// Bytes of one picture, rows of pixels of 1, 3 or 4 channels, on a canvas.
function draw(bytes, height, width, channels) {
  const pixels = new ImageData(width, height);
  for (let place = 0; place < height * width; place++) {
    for (let part = 0; part < 3; part++) {
      pixels.data[4 * place + part] = bytes[channels * place + (channels < 3 ? 0 : part)];
    }
    pixels.data[4 * place + 3] = channels === 4 ? bytes[4 * place + 3] : 255;
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

async function sample(session) {
  const zDim = session.inputMetadata.find((input) => input.name === "z").shape[1];
  const truncation = Number(document.getElementById("truncation").value);
  const given = { z: new ort.Tensor("float32", normal(COUNT * zDim).map((value) => value * truncation), [COUNT, zDim]) };
  if (session.inputNames.includes("label")) {
    const label = BigInt(document.getElementById("label").value);
    given.label = new ort.Tensor("int64", new BigInt64Array(COUNT).fill(label), [COUNT]);
  }
  const start = performance.now();
  const { image } = await session.run(given);
  const milliseconds = performance.now() - start;
  const [count, height, width, channels] = image.dims;
  const size = height * width * channels;
  document.getElementById("pictures").replaceChildren(...Array.from({ length: count }, (_, number) =>
    draw(image.data.subarray(number * size, (number + 1) * size), height, width, channels)));
  state.textContent = `${count} pictures of ${height}x${width} in ${milliseconds.toFixed(0)} ms`;
}

try {
  ort.env.wasm.numThreads = 1; // several need headers that few hosts send
  const session = await ort.InferenceSession.create("generator.onnx");
  document.getElementById("classes").hidden = !session.inputNames.includes("label");
  document.getElementById("more").addEventListener("click", () => sample(session));
  await sample(session);
} catch (error) {
  state.textContent = `It cannot be run: ${error.message}`;
}
