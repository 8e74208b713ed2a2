/* SPDX-License-Identifier: Apache-2.0
 * Notices that the program confines itself. */
#ifndef OUTRIDER_CONFINED_H
#define OUTRIDER_CONFINED_H

/* Calls `work` on the thread that is about to confine itself by seccomp(2), through prctl(2), before it does. */
void outrider_before_confinement(void (*work)(void));

#endif
