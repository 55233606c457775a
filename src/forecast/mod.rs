//! When will a level be reached? Pure: no I/O, no clock.
