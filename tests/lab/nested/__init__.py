"""A real three-layer node for highwater's tests; `README.md` beside this folder tells how it is built."""
