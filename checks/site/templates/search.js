(function () {
  var box = document.createElement("input");
  box.type = "search";
  box.placeholder = "search packages";
  box.setAttribute("aria-label", "search packages");
  var place = document.getElementById("search");
  place.appendChild(box);
  var rows = Array.prototype.slice.call(document.querySelectorAll("#packages tbody tr"));
  var none = document.getElementById("none");
  function show() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean), seen = 0;
    rows.forEach(function (row) {
      var text = row.textContent.toLowerCase();
      var hit = words.every(function (w) { return text.indexOf(w) >= 0; });
      row.hidden = !hit;
      if (hit) seen++;
    });
    none.hidden = seen > 0;
  }
  box.addEventListener("input", show);
  if (location.hash.indexOf("#q=") === 0) {
    box.value = decodeURIComponent(location.hash.slice(3));
    show();
  }
})();
