// SPDX-License-Identifier: Apache-2.0

import Outrider

let greetings = Registry.shared.counter("greetings_total", help: "Greetings.")
greetings.increment()
print(Registry.shared.text().contains("greetings_total 1"))
