"""Hearts: anatomy, rhythm, motion and tissue of echocardiograms."""
