#!/bin/sh
# conformance.sh ADDRESS_JSON: the cases of ../CONFORMANCE.md with the Python client. PYTHON names another interpreter.
exec "${PYTHON:-python3}" "$(dirname "$0")/conformance.py" "$1"
