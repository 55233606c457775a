//! Do the documents and the metrics agree?
