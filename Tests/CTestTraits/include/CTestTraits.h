/* SPDX-License-Identifier: Apache-2.0
 * What has to be so before the first test of a process begins. */
#pragma once
