// Starts the page where all it shows is in the file itself.

import { byId } from "./format.js";
import { show } from "./page.js";

byId("run").hidden = false;
show(JSON.parse(byId("data").textContent));
