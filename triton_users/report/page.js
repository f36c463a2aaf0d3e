// Adds to the report's page what a drawing cannot do: the values under the pointer, and tables that sort.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.createElement("div");
  tip.id = "tip";
  const clock = (s) => {
    const whole = Math.round(s);
    const two = (n) => String(n).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };

  for (const svg of document.querySelectorAll("svg[data-chart]")) {
    const series = data.charts[svg.dataset.chart];
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const left = Number(svg.dataset.left), inner = width - left - Number(svg.dataset.right), end = Number(svg.dataset.end);
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
    cursor.setAttribute("class", "cursor");
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) * width / box.width - left) / inner * end;
      let i = data.starts.findIndex((start, n) => at >= start && at < data.ends[n]);
      if (i < 0) i = at < 0 ? 0 : data.starts.length - 1;
      const x = left + inner * Math.min((data.starts[i] + data.ends[i]) / 2 / end, 1);
      cursor.setAttribute("d", `M${x},8V${height - 22}`);
      svg.append(cursor);
      const table = document.createElement("table");
      const add = (name, value) => {
        const row = table.insertRow();
        row.insertCell().textContent = name;
        row.insertCell().textContent = value;
      };
      add(clock(data.starts[i]), `to ${clock(data.ends[i])}`);
      for (const [name, values] of series) if (values[i] !== null) add(name, values[i].toLocaleString("en"));
      tip.replaceChildren(table);
      const holder = svg.parentElement;
      holder.append(tip);
      const px = event.clientX - holder.getBoundingClientRect().left;
      tip.style.left = `${px > holder.clientWidth / 2 ? px - tip.offsetWidth - 14 : px + 14}px`;
      tip.style.top = "34px";
    });
    svg.addEventListener("pointerleave", () => { tip.remove(); cursor.remove(); });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const compare = (one, other) => key(one).localeCompare(key(other), "en", { numeric: true });
      const rows = [...table.tBodies[0].rows].sort(compare);
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    }));
  }
})();
