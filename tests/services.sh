#!/bin/sh
# Install the programs that some tests check written DICOM files with: dciodvfy, dcmtk and an Orthanc server.
#
# They come from Debian and are only installed where that is harmless: by root, with apt-get, and where no init system runs
# (a container), so that no server is started that would go on running. Elsewhere, and when anything goes wrong, the
# tests that need them are skipped and say so. SERVICES=no leaves it out.
PACKAGES="dicom3tools dcmtk orthanc orthanc-dicomweb"

have() { command -v "$1" >/dev/null 2>&1; }

if [ "$SERVICES" = no ] || { have dciodvfy && have dcmdump && have Orthanc; }; then
	exit 0
fi
if [ "$(id -u)" != 0 ] || ! have apt-get || [ -d /run/systemd/system ]; then
	echo "some tests will be skipped; to run them: apt-get install $PACKAGES"
	exit 0
fi
echo "installing $PACKAGES"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
{ timeout 60 apt-get update -qq \
	&& timeout 150 apt-get install -y -qq --no-install-recommends $PACKAGES; } >/dev/null 2>&1 \
	|| echo "they could not be installed; some tests will be skipped"
exit 0
