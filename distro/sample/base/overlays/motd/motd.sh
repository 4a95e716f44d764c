#!/bin/sh
@greeter@
@lua@ -e 'print(os.date("It is %A."))'
