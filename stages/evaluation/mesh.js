// Draws the hand of #mesh-data into #mesh: triangles from far to near, coloured by the mean error of
// their vertices, lit from the viewer. A drag or an arrow key rotates it. No library, no request.
(() => {
  const data = JSON.parse(document.getElementById("mesh-data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const points = Float32Array.from(new Int16Array(bytes(data.vertices)), (v) => v / 1e5); // m
  const faces = new Uint16Array(bytes(data.faces));
  const errors = Object.fromEntries(
    Object.entries(data.errors).map(([run, text]) =>
      [run, Float32Array.from(new Uint16Array(bytes(text)), (v) => v / 100)]), // mm
  );
  const [low, high] = data.range_mm;
  const canvas = document.getElementById("mesh");
  const context = canvas.getContext("2d");
  const choice = document.getElementById("mesh-run");
  for (const run of Object.keys(errors)) choice.add(new Option(run, run));

  let rotation = [1, 0, 0, 0, 1, 0, 0, 0, 1]; // rows: right, down, away from the viewer
  const scale = (0.46 * Math.min(canvas.width, canvas.height)) /
    points.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

  function colour(value, light) {
    const last = data.colours.length - 1;
    const at = last * Math.min(1, Math.max(0, high > low ? (value - low) / (high - low) : 0));
    const k = Math.min(last - 1, Math.floor(at));
    const mix = data.colours[k].map((c, i) =>
      Math.round(light * (c + (at - k) * (data.colours[k + 1][i] - c))));
    return `rgb(${mix})`;
  }

  function draw() {
    const error = errors[choice.value];
    const count = points.length / 3;
    const seen = new Float32Array(points.length);
    for (let i = 0; i < count; i++)
      for (let row = 0; row < 3; row++)
        seen[3 * i + row] = rotation[3 * row] * points[3 * i] +
          rotation[3 * row + 1] * points[3 * i + 1] + rotation[3 * row + 2] * points[3 * i + 2];
    const order = [];
    for (let f = 0; f < faces.length; f += 3)
      order.push([seen[3 * faces[f] + 2] + seen[3 * faces[f + 1] + 2] + seen[3 * faces[f + 2] + 2], f]);
    order.sort((a, b) => b[0] - a[0]);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const [, f] of order) {
      const corners = [faces[f], faces[f + 1], faces[f + 2]];
      const [a, b, c] = corners.map((i) => [seen[3 * i], seen[3 * i + 1], seen[3 * i + 2]]);
      const u = b.map((v, i) => v - a[i]), w = c.map((v, i) => v - a[i]);
      const normal = [u[1] * w[2] - u[2] * w[1], u[2] * w[0] - u[0] * w[2], u[0] * w[1] - u[1] * w[0]];
      const light = 0.55 + 0.45 * Math.abs(normal[2]) / (Math.hypot(...normal) || 1);
      const mean = corners.reduce((sum, i) => sum + error[i], 0) / 3;
      context.fillStyle = context.strokeStyle = colour(mean, light);
      context.beginPath();
      for (const [x, y] of [a, b, c])
        context.lineTo(canvas.width / 2 + scale * x, canvas.height / 2 + scale * y);
      context.closePath();
      context.fill();
      context.stroke();
    }
  }

  function turn(right, down) { // radians about the vertical and the horizontal axis of the view
    const [c, s, d, t] = [Math.cos(right), Math.sin(right), Math.cos(down), Math.sin(down)];
    const by = [c, 0, -s, -t * s, d, -t * c, d * s, t, d * c];
    rotation = by.map((_, i) => {
      const row = 3 * Math.floor(i / 3);
      return by[row] * rotation[i % 3] + by[row + 1] * rotation[3 + (i % 3)] +
        by[row + 2] * rotation[6 + (i % 3)];
    });
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) turn(event.movementX / 120, event.movementY / 120);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
    if (step[event.key]) {
      event.preventDefault();
      turn(...step[event.key]);
    }
  });
  choice.addEventListener("change", draw);
  const stops = data.colours.map((c) => `rgb(${c})`).join(",");
  document.getElementById("mesh-scale").innerHTML =
    `${low.toFixed(1)} mm<i style="background:linear-gradient(90deg,${stops})"></i>${high.toFixed(1)} mm`;
  draw();
  canvas.dataset.drawn = "yes";
})();
