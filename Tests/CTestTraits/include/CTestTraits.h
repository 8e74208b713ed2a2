/* SPDX-License-Identifier: Apache-2.0
 * Settings that must be made before the first test of a process starts. */
#pragma once
