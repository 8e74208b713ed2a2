/* SPDX-License-Identifier: Apache-2.0
 * Notices that the program is about to confine itself. */
#ifndef OUTRIDER_CONFINED_H
#define OUTRIDER_CONFINED_H

/* Calls `work` on the thread that is about to confine itself with seccomp(2) or prctl(2), before it
 * does. */
void outrider_before_confinement(void (*work)(void));

#endif
