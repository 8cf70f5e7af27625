//! Memory that other programs can use, and channels to hand it over.
