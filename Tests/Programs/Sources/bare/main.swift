// SPDX-License-Identifier: Apache-2.0
// The program without Outrider.

import HostBehaviour

behave(orders())
