(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  if (content.pairs.length) Viewer.start(content.pairs);
  if (content.series.some((one) => one.points.length)) Chart.start(content);
})();
