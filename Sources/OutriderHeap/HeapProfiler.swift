// SPDX-License-Identifier: Apache-2.0
// The heap sampler's Swift face.

internal import COutriderHeap
