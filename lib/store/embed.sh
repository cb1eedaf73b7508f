#!/bin/sh
# Prints a text file as C string literals, one a line, for `#include` in an initialiser.
sed -e 's/["\\]/\\&/g' -e 's/.*/"&\\n"/' "$1"
