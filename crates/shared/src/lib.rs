//! What weyr keeps in shared memory: layouts, regions, slot and event words.
