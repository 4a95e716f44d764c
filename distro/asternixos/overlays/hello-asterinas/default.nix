# hello-asterinas: the package written for Asterinas.
#
# It works around nothing: it says which kernel it runs on, as a first answer to
# "does anything run?", and fails where the kernel says nothing of itself.
final: prev: {
  hello-asterinas = prev.stdenv.mkDerivation {
    pname = "hello-asterinas";
    version = "1.0.0";
    dontUnpack = true;
    dontBuild = true;
    installPhase = ''
      mkdir -p $out/bin
      {
        echo '#!${prev.bash}/bin/bash'
        cat ${./hello-asterinas.sh}
      } > $out/bin/hello-asterinas
      chmod +x $out/bin/hello-asterinas
    '';
    meta = {
      description = "Greets from the kernel it runs on";
      mainProgram = "hello-asterinas";
    };
  };
}
