// SPDX-License-Identifier: Apache-2.0
// Behind the trait NIO.
