"""highwater's predictions against real kubelets; `README.md` beside this folder tells how."""
